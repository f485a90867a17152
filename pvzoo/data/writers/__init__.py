"""One module a format; `pvzoo.data.write` calls them."""
