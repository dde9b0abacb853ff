"""The last lines of a run that failed: why each of its jobs did, after all that Snakemake says."""

import logging

from snakemake.logging import LogEvent, logger

from ltdm.pipeline.failures import MARK, Failure, explain, last_written, summarize

UNSEEN = "its results did not arrive; on a slow disk use `--latency-wait 300`", []


class FailureLog(logging.Handler):
    """Notes why jobs end, and prints it when Snakemake closes its handlers, which it does last."""

    def __init__(self):
        super().__init__()
        self.began = last_written(os.environ[snapshot.ENV_VAR])
        self.ended = {}  # job: the time of its log when it last failed
        self.explained = {}  # job: why it last failed, and the logs that say more
        self.errors = {}  # thread: its last error; a job's comes right before its event
        self.is_closed = False

    def emit(self, record):
        match getattr(record, "event", None):
            case LogEvent.ERROR:
                self.errors[record.thread] = record.getMessage()
            case LogEvent.GROUP_ERROR:
                name = record.job_error_info[0]["rule_name"]
                self.note(record.groupid, name, "", *record.aux_logs)
            case LogEvent.JOB_ERROR if not record.indent:  # else one of a group
                message = self.errors.pop(record.thread, "") + (record.rule_msg or "")
                self.note(record.jobid, record.rule_name, *record.log, message=message)

    def note(self, job, name, own_log, cluster_log="", message=""):
        """Note why a job failed; print it if the job could not, as it ran on another machine."""
        since = self.ended.get(job, self.began)
        sentence, logs = explain(name, own_log, since, cluster_log, message)
        self.explained[job] = sentence, logs
        self.ended[job] = max(since, last_written(own_log))
        if cluster_log:
            line = "; log: ".join([sentence, *logs])
            print(f"{MARK}{line}", file=sys.stderr)

    def failure(self, job):
        """Return what is known of a failed job, or group of jobs, of Snakemake."""
        if job.is_group():
            names = ", ".join(sorted({member.rule.name for member in job}))
            key, name, values = job.groupid, f"a group of {names}", {}
        else:
            key, name, values = job.jobid, job.rule.name, dict(job.wildcards.items())
        return Failure(name, values, job.attempt, *self.explained.get(key, UNSEEN))

    def close(self):
        super().close()
        if self.is_closed or not workflow.scheduler:
            return
        self.is_closed = True  # Python closes it once more at its own end
        failures = [self.failure(job) for job in workflow.scheduler.failed]
        for line in summarize(failures, f"{root}/logs"):
            print(line, file=sys.stderr)


def explain_failures():
    """Let this run end with the reasons of its failed jobs."""
    logger.addHandler(FailureLog())
