"""Networks as values, read from ONNX and from PyTorch."""
