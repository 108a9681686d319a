-- Runs in a backend whose client has gone, until the server stops. Every turn is a transaction of its own, so that no snapshot is held
-- and pg_stat_activity is read anew.
DO $watchdog$
DECLARE
	last_used timestamptz := clock_timestamp();
	idle      interval;
	stopping  boolean := false;
BEGIN
	LOOP
		SELECT greatest(last_used, max(s.last_start)), coalesce(max(s.idle_timeout), interval '1 minute')
			INTO last_used, idle FROM txiso.server s;
		IF EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) THEN
			last_used := clock_timestamp();
		END IF;

		IF clock_timestamp() - last_used <= idle THEN
			IF stopping THEN
				PERFORM pg_advisory_unlock(1954048371, 2);
				stopping := false;
			END IF;
			PERFORM pg_sleep(least(5, extract(epoch FROM idle) / 10));
		ELSIF NOT stopping THEN
			-- Who starts to use the server holds this lock shared and updates txiso.server. Once it is ours we look again.
			stopping := pg_try_advisory_lock(1954048371, 2);
		ELSE
			-- A fast shutdown, which ends this backend too. The first line of postmaster.pid is the postmaster's pid.
			BEGIN
				EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'kill -INT ' || split_part(pg_read_file('postmaster.pid'), E'\n', 1));
			EXCEPTION WHEN OTHERS THEN
				NULL; -- no process, no memory: the next turn tries again
			END;
			PERFORM pg_sleep(1);
		END IF;
		COMMIT;
	END LOOP;
END
$watchdog$
