"""Trained networks for other programs, and theirs for this one: NIR, ONNX, safetensors, int8."""
