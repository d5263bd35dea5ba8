__version__ = "0.1.0"

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # set "0" to hear TensorFlow's notes; it reads this when it is imported
