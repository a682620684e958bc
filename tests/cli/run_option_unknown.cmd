run gauss.ppl --infer nuts --set nuts.warp=9
