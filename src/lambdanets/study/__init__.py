"""The paper's study, counted and measured on the reader's machine: one module a part, and what they all share."""
