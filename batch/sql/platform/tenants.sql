-- Events per tenant, and the first and last day that it had some.
SELECT tenant, count(*) AS events, min(date) AS first_day, max(date) AS last_day
FROM events
GROUP BY tenant
ORDER BY events DESC, tenant
