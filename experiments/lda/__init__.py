"""Topic models from corpus to topics."""
