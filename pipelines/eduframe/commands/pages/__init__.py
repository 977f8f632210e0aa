"""What the HTML files of ``docs`` and ``report`` share: elements, their frame, their style."""
