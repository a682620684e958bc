check impossible/mixture.ppl --data impossible/mixture.json
