check impossible/simplex.ppl --data impossible/simplex.json
