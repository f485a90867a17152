"""What `pvzoo.data.check` asks of the labels of each task; `base` is the contract."""
