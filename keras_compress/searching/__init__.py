"""The search for the smallest, fastest model that keeps to constraints.

search        checks the arguments and makes a plan
preparation   measures the float model, plain quantization and how sensitive layers are
halving       asks for generations of recipes and trains the better ones further
trial_runner  runs trials by an executor, each as trial_run says
ledger        records every decision and outcome, so that a search that was killed continues
conclusion    measures the winner again and returns the result
"""
