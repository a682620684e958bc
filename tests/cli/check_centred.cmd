check trial/centred.ppl --data trial/centred.json
