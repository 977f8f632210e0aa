{#- No two rows agree in all of these columns; null counts as a value. -#}
{% test eduframe_unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as found
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
