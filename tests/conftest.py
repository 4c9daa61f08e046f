"""What all tests share."""

import signal
import threading

# A shell ignores Ctrl-C in what it starts in the background, and so do all children of it. Tests that press Ctrl-C, in
# this process or in one they start, must mean the same there.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
