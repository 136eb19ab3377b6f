"""Converters from published weight files to TorchScript, and the face geometry that goes with them.

Run ``python -m kfd_export --help`` for the commands.
"""
