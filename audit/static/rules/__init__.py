"""Rules: defects that the syntax tree of one file shows, each in a file of its own with documentation and examples.

`rule` is what a rule is made of, `registry` finds all of them, `engine` walks a file once for all rules, `context`
answers what rules ask about a file, and `checks` turns findings into results.
"""
