"""Exchange of trained networks with other programs: NIR, ONNX, safetensors, int8."""
