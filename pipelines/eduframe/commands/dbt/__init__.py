"""``eduframe dbt``: the tables and views as a dbt package, made from what the sync itself uses."""
