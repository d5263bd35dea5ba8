__version__ = "0.1.0"

import os

# Set "0" or "" to hear their notes; both are read when the library is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
