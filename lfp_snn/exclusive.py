"""What a process has only one of, and which one thread may change at a time."""

import threading

__all__ = ["PROCESS_WIDE"]

#: Held by who sets random numbers of the whole process and puts them back, or sets what all neurons
#: of snntorch share. A thread that holds it may take it again.
PROCESS_WIDE = threading.RLock()
