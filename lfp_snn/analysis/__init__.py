"""What a run came to: figures, a report, a baseline to compare with."""

from lfp_snn.analysis.baseline import logistic_baseline
from lfp_snn.analysis.record import Record, Sample, read_run
from lfp_snn.analysis.report import write_report

__all__ = ["Record", "Sample", "logistic_baseline", "read_run", "write_report"]
