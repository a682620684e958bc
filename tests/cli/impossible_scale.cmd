check impossible/scale.ppl --data impossible/scale.json
