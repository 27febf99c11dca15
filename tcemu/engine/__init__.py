"""The engine: rulesets lowered to native classes, and the one evaluator that runs packets through them."""
