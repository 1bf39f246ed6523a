"""Files to tensors: corpora of documents, bootstraps of cells, simulators."""
