"""``eduframe verify``: read some of the API at random, and compare it with the destination."""
