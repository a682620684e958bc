check two_errors.ppl
