"""The checks of `pvzoo.data.check` for the labels of each task; `base` is the contract."""
