"""What operators see of jobs and sends. Prefix `guanxi_`."""

from prometheus_client import Counter, Gauge, Histogram

JOBS = Counter("guanxi_jobs_total", "Tries of jobs, by what became of them", ["queue", "outcome"])
JOB_SECONDS = Histogram(
    "guanxi_job_seconds",
    "Seconds of one try",
    ["queue"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120),
)
JOBS_RUNNING = Gauge("guanxi_jobs_running", "Jobs under way in this process")
JOBS_TAKEN_OVER = Counter(
    "guanxi_jobs_taken_over_total",
    "Leases of dead processes that were ended, by outcome",
    ["outcome"],
)
OLDEST_DUE = Gauge("guanxi_jobs_oldest_due_seconds", "How long the oldest due job waits", ["queue"])
SENDS = Counter("guanxi_sends_total", "Messages to followers, by outcome", ["outcome", "code"])
PURGED = Counter("guanxi_purged_rows_total", "Rows that maintenance deleted", ["table"])
