{#- As relationships, where a condition must hold of the row (child) and the one that it leads to
    (parent). -#}
{% test eduframe_relationships_if(model, column_name, to, field, condition) %}
with child as (
    select * from {{ model }}
),
parent as (
    select * from {{ to }}
)
select child.{{ column_name }}
from child
left join parent on parent.{{ field }} = child.{{ column_name }} and {{ condition }}
where child.{{ column_name }} is not null and parent.{{ field }} is null
{% endtest %}
