"""Training of the default detector: sources, faces, forgeries on the fly, two training stages, evaluation, export, model card."""
