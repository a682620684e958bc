check trial/import_absent.ppl
