"""kallisto's quantification, from equivalence classes to bootstraps."""
