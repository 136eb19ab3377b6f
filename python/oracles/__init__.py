"""Reference outputs for the C++ tests, computed by PyTorch on small seeded models.

Nothing here is used at run time. The modules are written for readability in timm's naming, the naming that the engine
reads; they share no code with the engine.
"""
