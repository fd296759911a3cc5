"""What a plan leaves out, found in the two schemas: which tables, their ids, natural keys and foreign keys.

Pure functions of two `Schema`s. What only the rows can tell is a `questions.Question`, for which
`pipeline.session.evidence` reads them.
"""
