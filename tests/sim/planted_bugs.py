# Planted bugs: proof that the simulator finds what it is there to find.
#
# A simulator that never fails says little: perhaps the engine is right, perhaps nobody looks. So
# this catalogue holds mistakes that somebody could have made in the engine, most of them the very
# omission that a comment in the code warns of, and tests/sim/planted builds the engine once with
# each of them and counts how many seeds of `sluice_sim` it takes until an invariant breaks:
#
#   tests/sim/planted                            all of them, up to 10,000 seeds each
#   tests/sim/planted --random 5 --seed 7        five that a seed draws
#   tests/sim/planted --bugs NAME,NAME           those
#   tests/sim/planted --check                    only: does each still fit the sources?
#   tests/sim/planted --markdown results.md      the table, with the commit that it was made on
#
# A bug that is not found means that a fault, a workload or a check is missing in the simulator:
# that is mended, never the bug. An entry leaves the list only when the code that it breaks is gone.
#
# Rules for an entry:
#   - One mistake, small, that compiles, and with which a cluster without faults works.
#   - It breaks something that can be seen from outside: an acknowledged entry, a vote, the order of
#     a producer's entries, what a read returned, whether a node starts, whether a cluster comes
#     back, whether memory, files or descriptors stay bounded. `what` says what is broken and how it
#     shows.
#   - `old` stands exactly once in its file. When the code changes, --check says so.
#   - `scenarios` are the numbered failures (S1 ...) that tests all over the tree are named after,
#     or "own" for what this engine alone could get wrong.
#
# Scenarios without a bug of exactly their kind, and what stands in for them:
#   S9   Positions live no longer than a term (Progress::start_term()), and the answers on one
#        connection come in order. What is left of a late answer: one that belongs to an older term.
#        The same slip exists for votes, and there it needs no five nodes.
#   S11  There are no leases: a read returns what is committed, whoever serves it. What a leader
#        still owes after a pause are the answers to entries that were replaced meanwhile.
#   S30  To leave the epoch out of the check of a chunk changes nothing that could be seen: chunk
#        numbers rise from epoch to epoch, and each chunk names the checksum of the one before. What
#        recycling can get wrong is the moment: a file that still holds the newest vote or trim.
"""The catalogue of planted bugs: see the comment above, and tests/sim/planted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Replaces `old`, which stands exactly once in `file` (relative to the root), by `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class PlantedBug:
    """One mistake. `arguments` are passed to sluice_sim besides the seeds."""

    name: str
    scenarios: tuple[str, ...]
    what: str
    edits: tuple[Edit, ...]
    arguments: tuple[str, ...] = ()
    rare: bool = False  # takes thousands of seeds: not drawn by --random


# For promises that only hold once faults have ended: progress, repair, convergence.
LIVENESS = ("--liveness",)

RAFT = "engine/raft/"
SHARD = "engine/shard/"
CLIENT = "engine/client/"
SEGMENTS = "segments/"

CONSENSUS = (
    PlantedBug(
        "old-term-entry-committed-by-copies",
        ("S1",),
        "A leader commits entries of an older term as soon as a majority holds them (Raft, Figure"
        " 8): a later leader with a higher last term overwrites them, and an acknowledged entry "
        "is gone.",
        (
            Edit(
                RAFT + "leader.cc",
                "  if (!log_.has(reached, hard_state_.term)) return;\n",
                "  if (!log_.term_at(reached)) return;\n",
            ),
        ),
    ),
    PlantedBug(
        "pre-vote-counted-as-vote",
        ("S2",),
        "The late grant of a pre-vote, which names the term that was asked about, counts as a "
        "vote when the candidate has entered that term: its giver is free to vote for another "
        "one, so two nodes lead in one term and both acknowledge.",
        (
            Edit(
                RAFT + "election.cc",
                "  if (reply.pre_vote) {\n"
                "    if (role_ == Role::kPreCandidate && reply.term == hard_state_.term.next()) "
                "count_vote(from);\n"
                "  } else {\n"
                "    if (role_ == Role::kCandidate && reply.term == hard_state_.term) "
                "count_vote(from);\n"
                "  }\n",
                "  if (role_ == Role::kPreCandidate) {\n"
                "    const bool asked = reply.pre_vote && reply.term == hard_state_.term.next();\n"
                "    if (asked) count_vote(from);\n"
                "  } else {\n"
                "    if (role_ == Role::kCandidate && reply.term == hard_state_.term) "
                "count_vote(from);\n"
                "  }\n",
            ),
        ),
    ),
    PlantedBug(
        "vote-given-twice",
        ("S2",),
        "A node that voted in a term, for itself or another, votes again for whoever else asks "
        "with a log as good: two candidates of one term both reach a majority and both "
        "acknowledge.",
        (
            Edit(
                RAFT + "election.cc",
                "      request.term == hard_state_.term &&\n"
                "      (hard_state_.vote == from || (hard_state_.vote == kNoNode && "
                "term_leader_ == kNoNode));\n",
                "      request.term == hard_state_.term && term_leader_ == kNoNode;\n",
            ),
            Edit(
                RAFT + "election.cc",
                "  if (hard_state_.vote == kNoNode) {\n",
                "  if (hard_state_.vote != from) {\n",
            ),
        ),
    ),
    PlantedBug(
        "vote-of-an-older-term-counted",
        ("S2", "S9"),
        "A vote that was given in an older term and was long on its way counts in the candidate's"
        " present one, in which its giver may have voted for another: two leaders in one term.",
        (
            Edit(
                RAFT + "election.cc",
                "    if (role_ == Role::kCandidate && reply.term == hard_state_.term) "
                "count_vote(from);\n",
                "    if (role_ == Role::kCandidate) count_vote(from);\n",
            ),
        ),
    ),
    PlantedBug(
        "vote-answered-before-durable",
        ("S3",),
        "A vote leaves before it is on stable storage: after a power failure the node votes for "
        "another candidate of the same term, which then has two leaders.",
        (
            Edit(
                RAFT + "election.cc",
                "  if (pending_grant_ == kNoNode || durable_hard_state_ != hard_state_) return;\n",
                "  if (pending_grant_ == kNoNode) return;\n",
            ),
        ),
    ),
    PlantedBug(
        "append-answered-before-the-term-is-durable",
        ("S3",),
        "The answer to a leader leaves before its term is on stable storage: after a power failure "
        "the node is back in the older term, and takes entries of the leader that it had turned "
        "its back on.",
        (
            Edit(
                RAFT + "follower.cc",
                "  if (durable_hard_state_.term < hard_state_.term) return;\n",
                "",
            ),
        ),
    ),
    PlantedBug(
        "vote-forgotten-at-restart",
        ("S3",),
        "Recovery takes the term and not the vote from the hard state: a node that is restarted "
        "within an election votes a second time in that term, which then has two leaders.",
        (
            Edit(
                SHARD + "recover.cc",
                "    group.hard_state = {state.hard_state.term, state.hard_state.vote};\n",
                "    group.hard_state = {state.hard_state.term, kNoNode};\n",
            ),
        ),
    ),
    PlantedBug(
        "term-falls-at-recovery",
        ("own",),
        "Recovery passes over hard states without a vote: a node that took over a term from a "
        "leader or a refusal comes back in an older term, and answers in it what it had promised "
        "to refuse.",
        (
            Edit(
                SEGMENTS + "replay.cc",
                "      state.hard_state = fact.hard_state;\n",
                "      if (fact.hard_state.vote != kNoNode) state.hard_state = fact.hard_state;\n",
            ),
        ),
    ),
    PlantedBug(
        "longer-log-wins",
        ("S4",),
        "Votes compare the last index alone: a candidate whose longer tail is of an older term "
        "wins against those who hold committed entries of a later one, and overwrites them.",
        (
            Edit(
                RAFT + "election.cc",
                "  if (request.last_term != log_.last_term()) return request.last_term > "
                "log_.last_term();\n"
                "  return request.last_index >= log_.last_index();\n",
                "  return request.last_index >= log_.last_index();\n",
            ),
        ),
    ),
    PlantedBug(
        "equal-last-term-wins",
        ("S4",),
        "Votes compare the last term alone: a candidate that lacks the newest committed entries "
        "of that term wins, and the next entries take their places.",
        (
            Edit(
                RAFT + "election.cc",
                "  if (request.last_term != log_.last_term()) return request.last_term > "
                "log_.last_term();\n"
                "  return request.last_index >= log_.last_index();\n",
                "  return request.last_term >= log_.last_term();\n",
            ),
        ),
    ),
    PlantedBug(
        "request-without-room-answered",
        ("S36",),
        "A follower without space drops the entries of a request and answers it: the leader sends what "
        "follows, is refused, and probes again, as fast as the network goes, while the disk is full.",
        (
            Edit(
                "engine/shard/peer_side.cc",
                "        group->raft.hear(from.peer, step);\n",
                "        (void)group->raft.step(from.peer, step, {});\n",
            ),
        ),
        arguments=("--liveness",),
        rare=True,
    ),
    PlantedBug(
        "conflicting-entries-kept",
        ("S5",),
        "A follower takes any entry at a batch's last index for that batch: it keeps what "
        "contradicts its leader, acknowledges it, and serves it, or what was acknowledged by it "
        "is missing.",
        (
            Edit(
                RAFT + "follower.cc",
                "  if (batch.last_index() > commit_index_) return false;\n",
                "  if (batch.last_index() > commit_index_)\n"
                "    return log_.term_at(batch.last_index()).has_value();\n",
            ),
        ),
    ),
    PlantedBug(
        "completion-of-an-overwritten-entry-counted",
        ("S6",),
        "The completed write of an entry that was overwritten meanwhile counts for the entry that"
        " stands there now: it is acknowledged before it is on the disk, and a power failure of "
        "the others' loss takes it.",
        (
            Edit(
                RAFT + "raft.cc",
                "  if (!log_.has(index, term)) return;\n",
                "  if (log_.term_at(index) < term) return;\n",
            ),
        ),
        rare=True,
    ),
    PlantedBug(
        "leader-counts-what-it-has-not-written",
        ("S7",),
        "The leader counts its whole log in the majority, written or not: an entry that only one "
        "follower has on disk is acknowledged, and is gone when the leader loses power and the "
        "third node decides the election.",
        (
            Edit(
                RAFT + "leader.cc",
                "  positions[count++] = durable_index_;\n",
                "  positions[count++] = log_.last_index();\n",
            ),
        ),
    ),
    PlantedBug(
        "commit-index-above-what-was-verified",
        ("S8",),
        "A follower believes the leader's commit index up to the end of its own log: it serves a "
        "tail that was never compared with the leader's as committed, and the leader then "
        "contradicts it.",
        (
            Edit(
                RAFT + "follower.cc",
                "  const Index commit_index = std::min(request.commit_index, verified_index_);\n",
                "  const Index commit_index = std::min(request.commit_index, log_.last_index());\n",
            ),
        ),
        rare=True,
    ),
    PlantedBug(
        "answer-of-an-older-term-counted",
        ("S9",),
        "A leader counts what a follower acknowledged in an older term of the same leader, though"
        " another leader replaced those entries in between: it commits without a majority. Takes "
        "five nodes and an answer that is delayed over two elections.",
        (
            Edit(
                RAFT + "leader.cc",
                "  if (role_ != Role::kLeader || reply.term < hard_state_.term) return;\n",
                "  if (role_ != Role::kLeader) return;\n",
            ),
            Edit(
                RAFT + "progress.cc",
                "  held_index_ = std::max(held_index_, std::min(match, sent_index_));\n",
                "  held_index_ = std::max(held_index_, match);\n",
            ),
        ),
        rare=True,
    ),
    PlantedBug(
        "logs-matched-by-position",
        ("S10",),
        "The consistency check asks whether there is an entry before the new ones and not of "
        "which term: a follower with another history takes up this one's end and acknowledges "
        "both.",
        (
            Edit(
                RAFT + "follower.cc",
                "  if (request.prev_index > commit_index_) return false;\n",
                "  if (request.prev_index > commit_index_)\n"
                "    return log_.term_at(request.prev_index).has_value();\n",
            ),
        ),
    ),
    PlantedBug(
        "verified-position-survives-the-term",
        ("S8", "S10"),
        "What was compared with one leader's log is taken for compared with the next one's: a "
        "follower acknowledges and commits a tail that the new leader does not have.",
        (
            Edit(
                RAFT + "raft.cc",
                "  verified_index_ = answered_index_ = Index{};\n",
                "  answered_index_ = Index{};\n",
            ),
        ),
    ),
    PlantedBug(
        "replaced-entries-acknowledged",
        ("S11", "S54"),
        "A leader that was paused or cut off and finds its tail replaced forgets to tell the "
        "client of the first batch of it: the client is told OK when another leader's entry is "
        "committed at that index.",
        (
            Edit(
                SHARD + "client_append.cc",
                "group.waiters.back().last >= from",
                "group.waiters.back().first > from",
            ),
        ),
    ),
    PlantedBug(
        "stale-leader-obeyed",
        ("S54",),
        "A follower measures a leader by the term of its own last entry and not by its own term: "
        "a leader that comes back from a stop is followed by nodes that gave their vote to the "
        "next one, and they see two leaders in one term.",
        (
            Edit(
                RAFT + "follower.cc",
                "  if (request.term < hard_state_.term) {\n",
                "  if (request.term < log_.last_term()) {\n",
            ),
        ),
    ),
)

PROGRESS = (
    PlantedBug(
        "no-stickiness",
        ("S19", "S20"),
        "Who hears its leader helps to replace it all the same: with the link between two nodes "
        "cut and both connected to the third, they depose each other for ever.",
        (
            Edit(
                RAFT + "election.cc",
                "  return leader_ != kNoNode && ticks_since_leader_ < "
                "options_.election_timeout_ticks_min;\n",
                "  return false;\n",
            ),
        ),
        LIVENESS,
    ),
    PlantedBug(
        "no-pre-vote",
        ("S20", "S21"),
        "A node raises its term at each time-out without asking first: one that sends and does "
        "not hear, or was cut off, counts terms up without bound and deposes a sound leader when "
        "it is back.",
        (
            Edit(RAFT + "election.cc", "  start_pre_vote();\n}\n", "  start_election();\n}\n"),
        ),
        LIVENESS,
    ),
    PlantedBug(
        "refused-pre-vote-teaches-nothing",
        ("S22",),
        "The term in a refused pre-vote is not believed: of two nodes that are left, one has the "
        "later log and the other the higher term, each refuses the other, and nobody is ever "
        "elected.",
        (
            Edit(
                RAFT + "election.cc",
                "  const bool senders_own_term = !(reply.pre_vote && reply.granted);\n",
                "  const bool senders_own_term = !reply.pre_vote;\n",
            ),
        ),
        LIVENESS,
    ),
    PlantedBug(
        "heartbeat-asks-about-the-beginning",
        ("S24",),
        "A heartbeat asks about the first index, where every log agrees, instead of the place "
        "before the next entry: a follower that lost or dropped entries never denies them, and in"
        " an idle cluster stays behind for ever.",
        (
            Edit(
                RAFT + "leader.cc",
                "    case Due::kEmpty:\n"
                "      return plan_empty(progress->next_index().prev());\n",
                "    case Due::kEmpty:\n"
                "      return plan_empty(log_.first_index().prev());\n",
            ),
        ),
        LIVENESS,
    ),
    PlantedBug(
        "trim-past-a-laggard",
        ("S25",),
        "A trim asks what is committed and not what every member holds: what a slow or stopped "
        "node still needs is gone from everybody, and it never catches up.",
        (
            Edit(
                SHARD + "client_read.cc",
                "  if (first > group->raft.match_index_min().next()) {\n",
                "  if (first > group->raft.commit_index().next()) {\n",
            ),
        ),
        LIVENESS,
    ),
    PlantedBug(
        "inflight-window-never-given-back",
        ("S25", "own"),
        "What a follower acknowledged stays in its window: after as many requests as the window "
        "has places the leader sends it nothing but heartbeats, keeps its place by their answers,"
        " and no append is acknowledged any more.",
        (
            Edit(
                RAFT + "progress.cc",
                "  next_index_ = std::max(next_index_, held_index_.next());\n"
                "  pop_acknowledged();\n",
                "  next_index_ = std::max(next_index_, held_index_.next());\n",
            ),
        ),
        LIVENESS,
    ),
    PlantedBug(
        "no-space-for-ever",
        ("S36",),
        "A full disk is never asked again: when space is back the node goes on refusing, or, as a"
        " follower, acknowledging nothing.",
        (
            Edit(SHARD + "group_commit.cc", "    log_.retry_steps();\n", ""),
        ),
        LIVENESS,
    ),
)

STORAGE = (
    PlantedBug(
        "torn-tail-taken-for-damage",
        ("S26", "S32"),
        "A chunk header that is right counts as proof that its chunk was durable: after a power "
        "failure that kept the first sectors of the last write and not the others, or a later "
        "write and not an earlier one, the node refuses to start for good.",
        (
            Edit(
                SEGMENTS + "judge.cc",
                "        durable_ = std::max(durable_, chunk.durable_seq);\n",
                "        durable_ = std::max(durable_, chunk.seq);\n",
            ),
        ),
    ),
    PlantedBug(
        "zeros-end-the-log",
        ("S27",),
        "The scan of a segment ends at the first block that is no chunk: zeroed or rotten sectors"
        " in the middle pass for the end, what was acknowledged behind them is cut in silence, "
        "and the node votes and serves without it.",
        (
            Edit(
                SEGMENTS + "scan.cc",
                "      offset += kBlockBytes;\n      continue;\n",
                "      break;\n",
            ),
        ),
        rare=True,
    ),
    PlantedBug(
        "payload-checksum-not-verified",
        ("S28",),
        "The checksum of a batch's payload is not compared: rot in the bytes of an entry passes "
        "every check on the way from the disk, and a reader is served wrong bytes.",
        (
            Edit(
                "wire/batch.cc",
                "  if (checksum(payload_of(batch)) != header.payload_checksum()) "
                "return fail(Errc::kBadChecksum);\n",
                "",
            ),
        ),
    ),
    PlantedBug(
        "marks-behind-a-hole-not-heard",
        ("S28", "S29"),
        "Durable marks count only in the chunks before the first bad one: rot in the middle of "
        "the log is taken for a torn write, what was acknowledged from there on is cut in "
        "silence, and the node votes as if it had never held it.",
        (
            Edit(
                SEGMENTS + "judge.cc",
                "      for (const FoundChunk& chunk : scan.chunks) {\n        durable_ = ",
                "      for (const FoundChunk& chunk : run_of(scan)) {\n        durable_ = ",
            ),
        ),
    ),
    PlantedBug(
        "no-mark-when-idle",
        ("S29",),
        "An idle node writes no mark behind its last chunk: rot in that one passes for a torn "
        "write, and an acknowledged entry, or a vote, is cut in silence.",
        (
            Edit(
                SHARD + "group_commit.cc",
                "last_record_seq_ > log_.marked_seq() &&",
                "last_record_seq_ > log_.last_seq() &&",
            ),
        ),
    ),
    PlantedBug(
        "segment-recycled-with-the-newest-vote",
        ("S30",),
        "Only batches keep a segment: one that holds nothing else but a group's newest vote, trim"
        " or producers is recycled, and after a restart the node has forgotten its vote, or finds"
        " a log without its beginning and refuses to start.",
        (
            Edit(
                SEGMENTS + "segment_table.cc",
                "  ++(kind == RecordKind::kBatch ? at.live_batches : at.live_others);\n",
                "  if (kind == RecordKind::kBatch) ++at.live_batches;\n",
            ),
            Edit(
                SEGMENTS + "segment_table.cc",
                "void SegmentTable::count_out(Epoch epoch, RecordKind kind) {\n",
                "void SegmentTable::count_out(Epoch epoch, RecordKind kind) {\n"
                "  if (kind != RecordKind::kBatch) return;\n",
            ),
        ),
    ),
    PlantedBug(
        "entries-written-without-sync",
        ("S31",),
        "Only chunks with a vote are written durably, the others count when the write completes: "
        "a power failure takes acknowledged entries, and the marks of later chunks call that "
        "damage.",
        (
            Edit(
                SHARD + "group_commit.cc",
                "  write.durable = options_.fsync.kind == FsyncPolicy::Kind::kAlways;\n",
                "  write.durable =\n"
                "      options_.fsync.kind == FsyncPolicy::Kind::kAlways && "
                "write.chunk.durable_at_once;\n",
            ),
        ),
    ),
    PlantedBug(
        "recovered-tail-not-synced",
        ("S31", "own"),
        "What recovery read above the durable mark is taken for durable: the write that a killed "
        "process left in the device's cache is acknowledged after the restart, and a power "
        "failure takes it; the marks written since then call that damage and the node never "
        "starts again.",
        (
            Edit(
                SEGMENTS + "segment_log.cc",
                "    if (after <= end.durable_seq.next()) break;\n",
                "    if (after <= end.last_seq.next()) break;\n",
            ),
        ),
    ),
    PlantedBug(
        "newest-segment-alone-decides",
        ("S32",),
        "Recovery looks for the stream in the newest segment that holds chunks and in no other: "
        "when a power failure kept the first chunk of a new segment and lost the last of the old "
        "one, the node finds nothing and refuses to start for good.",
        (
            Edit(
                SEGMENTS + "judge.cc",
                "      if (scans_[i].run_count > 0) stream_ = way_back(i);\n",
                "      if (scans_[i].run_count == 0) continue;\n"
                "      stream_ = way_back(i);\n"
                "      break;\n",
            ),
        ),
        rare=True,
    ),
    PlantedBug(
        "segment-used-before-the-directory-is-synced",
        ("S33",),
        "A new segment takes chunks before its name is on stable storage: a power failure takes "
        "the name and with it everything that was acknowledged in that file.",
        (
            Edit(
                SEGMENTS + "file_plan.cc",
                "  if (phase_++ < 3) return Event::kNone;\n",
                "  if (phase_++ < 2) return Event::kNone;\n",
            ),
        ),
    ),
    PlantedBug(
        "segment-header-not-synced",
        ("S34",),
        "The directory is synced where the header of a new segment should be: after a power "
        "failure there is a segment's name without a header, and the node never starts again.",
        (
            Edit(
                SEGMENTS + "file_plan.cc",
                "      return {.kind = Kind::kSyncFile, .name = spare};\n",
                "      return sync_directory();\n",
            ),
        ),
    ),
    PlantedBug(
        "write-error-taken-for-success",
        ("S35",),
        "Only a write of nothing is an error: -EIO becomes a huge count, the chunk counts as "
        "written and durable, and acknowledged entries are not on the disk.",
        (
            Edit(
                SHARD + "group_commit.cc",
                "  if (result <= 0) {\n",
                "  if (result == 0) {\n",
            ),
        ),
    ),
    PlantedBug(
        "short-write-taken-as-whole",
        ("S37",),
        "A write of at least a block counts as the whole: the rest of the chunk never reaches the"
        " disk, and after a restart acknowledged entries are missing or the node finds damage and"
        " refuses to start.",
        (
            Edit(
                SHARD + "group_commit.cc",
                "  if (write.done_bytes < write.chunk.bytes.size()) {\n",
                "  if (write.done_bytes < segments::kBlockBytes) {\n",
            ),
        ),
    ),
    PlantedBug(
        "rest-of-a-short-write-not-durable",
        ("S37",),
        "What a short write left over is written without durability: the chunk is acknowledged, "
        "and a power failure tears it.",
        (
            Edit(
                SHARD + "group_commit.cc",
                "            write.chunk.offset + write.done_bytes, write.durable);\n",
                "            write.chunk.offset + write.done_bytes,\n"
                "            write.durable && write.done_bytes == 0);\n",
            ),
        ),
    ),
    PlantedBug(
        "chunk-acknowledged-before-the-one-in-front",
        ("S38",),
        "A chunk whose write completed counts, and with it all before it, though one of those is "
        "still on its way: a power failure loses that one, recovery cuts there, and acknowledged "
        "entries are gone.",
        (
            Edit(
                SHARD + "group_commit.cc",
                "  sync_if_due();\n  events_.on_chunks_stable(stable_seq());\n}\n",
                "  sync_if_due();\n  events_.on_chunks_stable(seq);\n}\n",
            ),
        ),
    ),
    PlantedBug(
        "read-window-older-than-the-chunk",
        ("own",),
        "What was read of a file before a chunk was written there passes for that chunk: the "
        "bytes do not match, and a sound node stops and calls its log damaged. Takes a tail in "
        "memory that is shorter than a window for reads.",
        (
            Edit(
                SHARD + "read_window.cc",
                " || location.seq > written_) return {};",
                ") return {};",
            ),
        ),
    ),
    PlantedBug(
        "read-window-filled-before-it-was-sent",
        ("own",),
        "The next read for a follower goes into the window whose batches were put into the frame "
        "that is being made: other bytes leave than were checked.",
        (
            Edit(
                SHARD + "peer_link.cc",
                "  return window.idle() && std::ranges::find(slices_, &window, &Slice::window) == "
                "slices_.end();\n",
                "  return window.idle();\n",
            ),
        ),
    ),
    PlantedBug(
        "trim-applied-before-it-is-committed",
        ("own",),
        "A trim takes effect when it is on this node's disk: entries go by a request that may "
        "never be committed, and a node that restarts with one gives up entries that it does not "
        "know to be committed and stops.",
        (
            Edit(
                SHARD + "client_append.cc",
                "group.pending_trims.front().index <= commit) {\n",
                "group.pending_trims.front().index <= group.raft.durable_index()) {\n",
            ),
        ),
    ),
)

CLIENTS = (
    PlantedBug(
        "followers-learn-no-producers",
        ("S47",),
        "Only a leader notes whose entries enter the log: a retry that reaches the next leader "
        "lands a second time under the same producer and sequence.",
        (
            Edit(
                SHARD + "groups.cc",
                "  group.sessions.add(batch, group.raft.commit_index());\n",
                "  if (group.raft.role() == raft::Role::kLeader) {\n"
                "    group.sessions.add(batch, group.raft.commit_index());\n"
                "  }\n",
            ),
        ),
    ),
    PlantedBug(
        "producers-not-truncated-with-the-log",
        ("S47", "own"),
        "What is truncated from the log stays in the table of its producers: the retry of an "
        "entry that is gone is answered with its old index, so an acknowledged entry is missing.",
        (
            Edit(SHARD + "groups.cc", "  group.sessions.truncate_from(from);\n", ""),
        ),
    ),
    PlantedBug(
        "unnumbered-entries-sent-again",
        ("S47", "S48"),
        "After a lost connection the client sends entries without a producer again, which nobody "
        "can tell from new ones: one append is in the log twice.",
        (
            Edit(
                CLIENT + "append_results.cc",
                "      const bool again = lane->has_producer() && !lane->directed();\n",
                "      const bool again = !lane->directed();\n",
            ),
        ),
    ),
    PlantedBug(
        "unknown-reported-as-refused",
        ("S48",),
        "An entry whose first transmission was never answered, and that finds no leader again "
        "until its time-out, is reported as refused: it turns up in the log all the same.",
        (
            Edit(
                CLIENT + "append_results.cc",
                "    case Verdict::kAgainUnknown:\n      entry.ever_unknown = true;\n",
                "    case Verdict::kAgainUnknown:\n",
            ),
        ),
    ),
    PlantedBug(
        "lost-leadership-taken-for-a-refusal",
        ("S48", "S49"),
        "The answer of a leader that was deposed counts as certain: the client reports as refused"
        " what the next leader commits.",
        (
            Edit(
                CLIENT + "append_results.cc",
                "  const bool certain = is_refused(code) || code == Errc::kNotLeader;\n",
                "  const bool certain = is_refused(code) || code == Errc::kNotLeader ||\n"
                "                       code == Errc::kLeadershipLost;\n",
            ),
        ),
    ),
    PlantedBug(
        "late-refusal-taken-for-success",
        ("S48", "S54"),
        "The late answer of a node that stood still settles what it is about, whatever it says: a"
        " refusal is reported as OK, and the entry is nowhere at that index.",
        (
            Edit(
                CLIENT + "append_silence.cc",
                "  if (static_cast<Errc>(result.code()) != Errc::kOk) return;\n",
                "",
            ),
        ),
    ),
    PlantedBug(
        "acknowledged-before-it-is-committed",
        ("S49",),
        "A leader answers when an entry is on its own disk: cut off from the others it "
        "acknowledges what the next leader overwrites.",
        (
            Edit(
                SHARD + "client_append.cc",
                "  while (!group.waiters.empty() && group.waiters.front().last <= commit) {\n",
                "  while (!group.waiters.empty() &&\n"
                "         group.waiters.front().last <= group.raft.durable_index()) {\n",
            ),
        ),
    ),
    PlantedBug(
        "retry-acknowledged-before-it-is-committed",
        ("S47", "S49"),
        "A retry of what is in the leader's log is answered at once, committed or not: the next "
        "leader overwrites what was acknowledged.",
        (
            Edit(
                SHARD + "client_append.cc",
                "    if (waiter.last <= group.raft.commit_index()) {\n",
                "    if (waiter.last <= group.raft.log().last_index()) {\n",
            ),
        ),
    ),
    PlantedBug(
        "uncommitted-entries-readable",
        ("S50",),
        "Reads, parked ones too, go up to what is on the node's own disk: a reader sees entries "
        "that another leader then replaces.",
        (
            Edit(
                SHARD + "client_read.cc",
                "  if (first > group->raft.commit_index()) {\n",
                "  if (first > group->raft.durable_index()) {\n",
            ),
            Edit(
                SHARD + "client_read.cc",
                "  const Index commit = group.raft.commit_index();\n",
                "  const Index commit = group.raft.durable_index();\n",
            ),
            Edit(
                SHARD + "client_read.cc",
                "    builder.add_commit_index(group->raft.commit_index().value());\n",
                "    builder.add_commit_index(group->raft.durable_index().value());\n",
            ),
        ),
    ),
    PlantedBug(
        "reads-go-back",
        ("S50",),
        "The client takes the answer of any node that does not contradict itself: a read that "
        "moves to a node that is behind shows a lower commit index than one before it.",
        (
            Edit(
                CLIENT + "request_replies.cc",
                "outcome.commit_index < request->group->read_commit) {\n",
                "outcome.commit_index.next() < outcome.first_index) {\n",
            ),
        ),
    ),
)

RESOURCES = (
    PlantedBug(
        "uncommitted-tail-without-bound",
        ("S52",),
        "The exception for a single oversize batch is upside down: a leader that is cut off from "
        "its followers takes appends without bound, in memory and on disk.",
        (
            Edit(
                RAFT + "leader.cc",
                "  if (!fits && total_bytes > 0) return fail(Errc::kOverloaded);\n",
                "  if (!fits && total_bytes == 0) return fail(Errc::kOverloaded);\n",
            ),
        ),
    ),
    PlantedBug(
        "local-batch-behind-a-refused-one-begins-anew",
        ("S47",),
        "A batch of a client in the process that was handed over behind a refused one of the same "
        "producer is taken for the producer's first: the entries between are too old when they come.",
        (
            Edit(
                SHARD + "client_append.cc",
                "  if (follows && !group->sessions.knows(batch.producer())) {\n",
                "  if (follows && group == nullptr) {\n",
            ),
        ),
    ),
    PlantedBug(
        "local-unknown-reported-as-refused",
        ("S48", "S54"),
        "What a deposed leader had taken from a client in its process is called refused, though it "
        "stands in logs that the next leader may commit.",
        (
            Edit(
                SHARD + "client_append.cc",
                "    if (waiter.has_producer || waiter.client.local) {\n"
                "      answer(waiter, Errc::kLeadershipLost, group.raft.leader());\n",
                "    if (waiter.has_producer || waiter.client.local) {\n"
                "      answer(waiter, waiter.client.local ? Errc::kNotLeader : Errc::kLeadershipLost,\n"
                "             group.raft.leader());\n",
            ),
        ),
    ),
    PlantedBug(
        "sockets-never-closed",
        ("own",),
        "A connection that ended is shut down and its descriptor kept: each reconnect costs one, "
        "until nobody can connect any more.",
        (
            Edit(
                SHARD + "connection.cc",
                "  if (socket_ != io::Handle::kNone) io_.close(socket_);\n",
                "  socket_ = io::Handle::kNone;\n",
            ),
        ),
    ),
    PlantedBug(
        "retired-files-never-closed",
        ("own",),
        "The descriptor of a segment that was retired is dropped and not closed: each trimmed "
        "segment costs one, and the unlinked file its space, until the node can open nothing any "
        "more.",
        (
            Edit(
                SHARD + "file_steps.cc",
                "void FileSteps::tick() {\n"
                "  for (const io::Handle file : retired_before_) io_.close(file);\n",
                "void FileSteps::tick() {\n",
            ),
        ),
    ),
)

BUGS: tuple[PlantedBug, ...] = CONSENSUS + PROGRESS + STORAGE + CLIENTS + RESOURCES
