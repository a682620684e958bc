check impossible/index.ppl --data impossible/index.json
