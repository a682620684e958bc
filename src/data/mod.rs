//! Data files → named arrays; matching them with a model's declarations.
