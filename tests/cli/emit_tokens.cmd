emit unformatted.ppl --stage tokens
