-- Everything about every account in one statement: each part a group by account, joined to all that any part knows.
--
-- It keeps to what DuckDB, PostgreSQL and BigQuery understand alike. Domains have no case. Shares are compared as quotients, whose rounding is
-- that of the policy's own figures: 7 of 140 is 0.05 exactly, and 0.05 of 140 is more than 7.

WITH newest AS (
  -- Until the snapshots of the last month have come, those of the month before count. Older ones say nothing of today.
  SELECT max(month) AS month FROM usage_monthly WHERE month >= :oldest_snapshot AND month < :this_month
),
last_month AS (
  SELECT lower(trim(usage_monthly.account)) AS account,
         max(usage_monthly.mau) AS mau,
         max(usage_monthly.seats) AS seats,
         max(usage_monthly.versions_behind) AS versions_behind,
         max(usage_monthly.precise_intel_languages) AS languages
  FROM usage_monthly JOIN newest ON usage_monthly.month = newest.month
  GROUP BY lower(trim(usage_monthly.account))
),
earlier_months AS (
  SELECT lower(trim(usage_monthly.account)) AS account,
         max(CASE WHEN usage_monthly.mau / (usage_monthly.seats * 1e0) >= :target_mau_seats THEN 1 ELSE 0 END) AS reached
  FROM usage_monthly JOIN newest ON usage_monthly.month < newest.month
  WHERE usage_monthly.mau BETWEEN 0 AND :most AND usage_monthly.seats BETWEEN 1 AND :most
  GROUP BY lower(trim(usage_monthly.account))
),
last_weeks AS (
  -- The days of the window, not those with a row: who comes on two days of four weeks is no daily user.
  SELECT lower(trim(usage_daily.account)) AS account, sum(usage_daily.dau) AS user_days
  FROM usage_daily
  WHERE usage_daily.day >= :usage_since AND usage_daily.day < :today AND usage_daily.dau BETWEEN 0 AND :most
  GROUP BY lower(trim(usage_daily.account))
),
asked AS (
  SELECT lower(trim(tickets.account)) AS account,
         sum(CASE WHEN lower(trim(tickets.kind)) = 'defect' THEN 1 ELSE 0 END) AS defects,
         sum(CASE WHEN lower(trim(tickets.kind)) = 'help' THEN 1 ELSE 0 END) AS helps
  FROM tickets
  WHERE tickets.opened_on > :tickets_after AND tickets.opened_on <= :today
  GROUP BY lower(trim(tickets.account))
),

-- How many complete months in a row, up to the last one, each had so much less use than the month before, B17. Months are counted through.
days AS (
  SELECT lower(trim(usage_daily.account)) AS account,
         extract(year FROM usage_daily.day) * 12 + extract(month FROM usage_daily.day) AS month,
         coalesce(usage_daily.searches, 0) + coalesce(usage_daily.code_intel, 0) AS actions
  FROM usage_daily
  WHERE usage_daily.day >= :a_year_ago AND usage_daily.day < :this_month
),
used AS (
  SELECT account, month, sum(actions) AS actions FROM days GROUP BY account, month
),
month_by_month AS (
  SELECT account, month, actions,
         lag(month) OVER (PARTITION BY account ORDER BY month) AS month_before,
         lag(actions) OVER (PARTITION BY account ORDER BY month) AS actions_before
  FROM used
),
month_ends AS (
  SELECT account,
         max(month) AS latest,
         -- the last month that was no decline: the first one is none
         max(CASE
               WHEN month_before = month - 1 AND (actions_before - actions) / (nullif(actions_before, 0) * 1e0) >= :decline_share THEN NULL
               ELSE month
             END) AS held
  FROM month_by_month
  GROUP BY account
),
declines AS (
  SELECT account, latest - held AS declining FROM month_ends WHERE latest = :last_month
),

known AS (
  SELECT account FROM last_month
  UNION ALL SELECT account FROM earlier_months
  UNION ALL SELECT account FROM last_weeks
  UNION ALL SELECT account FROM asked
  UNION ALL SELECT account FROM declines
),
everybody AS (
  SELECT account FROM known GROUP BY account
)
SELECT everybody.account,
       (SELECT month FROM newest) AS month,
       last_weeks.user_days,
       last_month.mau,
       last_month.seats,
       last_month.versions_behind,
       last_month.languages,
       -- Whom the warehouse knows and who asked nothing has no ticket. Of whom it does not know, nothing is known.
       coalesce(asked.defects, 0) AS defect_tickets,
       coalesce(asked.helps, 0) AS help_tickets,
       earlier_months.reached,
       declines.declining
FROM everybody
LEFT JOIN last_month ON last_month.account = everybody.account
LEFT JOIN earlier_months ON earlier_months.account = everybody.account
LEFT JOIN last_weeks ON last_weeks.account = everybody.account
LEFT JOIN asked ON asked.account = everybody.account
LEFT JOIN declines ON declines.account = everybody.account
