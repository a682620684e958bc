emit gauss.ppl --stage program
