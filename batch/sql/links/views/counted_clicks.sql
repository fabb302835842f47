-- Clicks as the statistics count them: those of another tenant's link are nobody's.
SELECT clicks.*
FROM clicks
ANTI JOIN (
    -- Whose a link is: the first claim wins, and all of one key are in one partition.
    SELECT link, arg_min(tenant, "offset") AS tenant
    FROM links
    WHERE type = 'link.requested'
    GROUP BY link
) AS owners ON owners.link = clicks.link AND owners.tenant <> clicks.tenant
WHERE clicks.type = 'link.clicked'
