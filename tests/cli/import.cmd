check trial/imports.ppl
