emit gauss.ppl --stage machine
