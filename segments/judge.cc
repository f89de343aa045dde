// All the scans together: which chunks are the stream, what is torn, what is damaged.
#include <algorithm>
#include <string>
#include <utility>

#include "segments/names.h"
#include "segments/recovery.h"
#include "wire/check.h"

namespace sluice::segments {
namespace {

/// The part of the stream that lies in one segment: the first `count` chunks of its run.
struct Piece {
  const SegmentScan* scan = nullptr;
  std::size_t count = 0;
  [[nodiscard]] const FoundChunk& first() const { return scan->chunks.front(); }
  [[nodiscard]] const FoundChunk& last() const { return scan->chunks[count - 1]; }
};

/// The stream, oldest piece first.
using Stream = std::vector<Piece>;

std::span<const FoundChunk> run_of(const SegmentScan& scan) {
  return std::span(scan.chunks).first(scan.run_count);
}

/// How many chunks of the segment's run end with the chunk (seq, checksum); 0: it is not in it.
std::size_t count_up_to(const SegmentScan& scan, ChunkSeq seq, std::uint64_t checksum) {
  const auto run = run_of(scan);
  if (run.empty() || seq < run.front().seq || seq > run.back().seq) return 0;
  const std::size_t i = seq - run.front().seq;
  return run[i].checksum == checksum ? i + 1 : 0;
}

const FoundChunk* chunk_of(const Stream& stream, ChunkSeq seq) {
  for (const Piece& piece : stream) {
    if (seq >= piece.first().seq && seq <= piece.last().seq) {
      return &piece.scan->chunks[seq - piece.first().seq];
    }
  }
  return nullptr;
}

class Judge {
 public:
  Judge(const Options& options, std::vector<SegmentScan> scans, std::vector<OtherFile> others)
      : options_(options), scans_(std::move(scans)), others_(std::move(others)) {
    std::ranges::sort(scans_, {}, &SegmentScan::epoch);
  }

  std::expected<Verdict, std::vector<Damage>> run() {
    find_stream();
    find_durable();
    check_files();
    check_durable();
    check_bases();
    if (!damage_.empty()) return std::unexpected(std::move(damage_));
    return verdict();
  }

 private:
  // --- the stream ------------------------------------------------------------------------------

  /// From the newest run that leads back to the beginning. A run that does not was written behind
  /// a chunk that never arrived: torn, or, if a durable mark says otherwise, damage.
  void find_stream() {
    for (std::size_t i = scans_.size(); i-- > 0 && stream_.empty();) {
      if (scans_[i].run_count > 0) stream_ = way_back(i);
    }
  }

  /// The stream that ends with the run of segment i; empty if it does not reach its beginning: the
  /// segment that its last chunk states as oldest, which therefore holds chunks of it.
  [[nodiscard]] Stream way_back(std::size_t i) const {
    Stream stream{{&scans_[i], scans_[i].run_count}};
    const Epoch oldest = stream.front().last().oldest_epoch;
    while (stream.back().scan->epoch > oldest) {
      const Piece before = predecessor(stream.back().first(), i);
      if (before.scan == nullptr) break;
      i = static_cast<std::size_t>(before.scan - scans_.data());
      stream.push_back(before);
    }
    if (stream.back().scan->epoch != oldest) return {};
    std::ranges::reverse(stream);
    return stream;
  }

  /// The piece that ends with the chunk which `first`, of segment i, links to. The newest segment
  /// that has it; equal links mean equal chunks, place and epoch included, so there is only one.
  [[nodiscard]] Piece predecessor(const FoundChunk& first, std::size_t i) const {
    while (i-- > 0) {
      const std::size_t count = count_up_to(scans_[i], first.seq.prev(), first.previous_checksum);
      if (count > 0) return {&scans_[i], count};
    }
    return {};
  }

  [[nodiscard]] ChunkSeq last_seq() const {
    return stream_.empty() ? ChunkSeq{} : stream_.back().last().seq;
  }
  [[nodiscard]] Epoch oldest_epoch() const {
    return stream_.empty() ? Epoch{} : stream_.back().last().oldest_epoch;
  }

  // --- damage ----------------------------------------------------------------------------------

  /// A header that is right tells the truth even if the records behind it did not arrive, and it
  /// goes on to do so when its chunk is dead: whoever cut it saw to it that nothing that it calls
  /// durable was cut.
  void find_durable() {
    for (const SegmentScan& scan : scans_) {
      for (const FoundChunk& chunk : scan.chunks) {
        durable_ = std::max(durable_, chunk.durable_seq);
      }
    }
  }

  void report(std::string what) { damage_.push_back({std::move(what)}); }

  void check_files() {
    Epoch expected = stream_.empty() ? Epoch(1) : oldest_epoch();
    for (const SegmentScan& scan : scans_) {
      if (scan.epoch < expected) continue;
      for (; expected < scan.epoch; expected = expected.next()) {
        report(segment_name(expected) + ": the file is missing");
      }
      if (scan.header != Errc::kOk) {
        report(scan.name + ": the segment's header is damaged (" +
               std::string(code_name(scan.header)) + ")");
      }
      expected = scan.epoch.next();
    }
  }

  void check_durable() {
    if (durable_ <= last_seq()) return;
    const ChunkSeq missing = last_seq().next();
    report(place_of(missing) + ": it was on stable storage, and so was everything up to chunk " +
           std::to_string(durable_.value()));
  }

  /// Where the chunk behind the stream should be, and what is there.
  [[nodiscard]] std::string place_of(ChunkSeq seq) const {
    const std::string number = std::to_string(seq.value());
    for (const SegmentScan& scan : scans_) {
      for (const FoundChunk& chunk : scan.chunks) {
        if (chunk.seq != seq || chunk.valid) continue;
        return scan.name + ": chunk " + number + " at offset " + std::to_string(chunk.offset) +
               " is damaged (its header is right, a record is not)";
      }
    }
    if (stream_.empty()) return "chunk " + number + " is missing or damaged";
    const SegmentScan& scan = *stream_.back().scan;
    return scan.name + ": chunk " + number + " is missing or damaged, expected at offset " +
           std::to_string(scan.end_offset) + " or in the next segment";
  }

  /// Durable marks count chunks, and after a cut numbers are given again. So each mark is held
  /// against the chunks that its writer meant: those up to its base are the base's, the others lie
  /// in segments of the same base.
  void check_bases() {
    if (stream_.empty()) return;
    for (const SegmentScan& scan : scans_) {
      if (scan.header != Errc::kOk || scan.epoch < oldest_epoch() || scan.chunks.empty()) continue;
      const auto highest =
          std::ranges::max_element(scan.chunks, {}, &FoundChunk::durable_seq)->durable_seq;
      if (!agrees(scan, highest)) {
        report(scan.name + ": chunk " + std::to_string(highest.value()) +
               ", which it counts as durable, is not in the stream that was found");
      }
    }
  }

  [[nodiscard]] bool agrees(const SegmentScan& scan, ChunkSeq mark) const {
    if (const FoundChunk* base = chunk_of(stream_, scan.base.seq);
        base != nullptr && base->checksum != scan.base.checksum) {
      return false;
    }
    if (mark <= scan.base.seq) return true;
    // The stream goes through the writer's chunk `mark`. If it begins behind that one, whoever
    // wrote its beginning came after: the same process or a later one.
    const Piece& beginning = stream_.front();
    if (mark < beginning.first().seq) {
      return beginning.scan->base.first_epoch >= scan.base.first_epoch;
    }
    for (const Piece& piece : stream_) {
      if (mark <= piece.last().seq) return piece.scan->base == scan.base;
    }
    return true;  // behind its end: check_durable() has reported that
  }

  // --- verdict ---------------------------------------------------------------------------------

  [[nodiscard]] Verdict verdict() {
    Verdict verdict{.durable_seq = durable_};
    StreamEnd& end = verdict.end;
    end.last_seq = last_seq();
    end.last_chunk_checksum = stream_.empty() ? 0 : stream_.back().last().checksum;
    end.durable_seq = durable_;
    end.oldest_epoch = oldest_epoch();
    end.last_epoch = scans_.empty() ? Epoch{} : scans_.back().epoch;
    for (const SegmentScan& scan : scans_) {
      const Piece piece = piece_in(scan);
      const bool live = piece.count > 0;
      end.segments.push_back({.epoch = scan.epoch,
                              .first_seq = live ? piece.first().seq : ChunkSeq{},
                              .file_bytes = scan.file_bytes});
      if (scan.epoch < end.oldest_epoch) continue;
      verdict.live.push_back(
          live ? Verdict::Live{scan.epoch, piece.first().seq, piece.last().seq,
                               scan.base.first_epoch}
               : Verdict::Live{scan.epoch, ChunkSeq(1), ChunkSeq(0), scan.base.first_epoch});
    }
    verdict.torn_tail = tail_is_torn();
    sort_others(end);
    return verdict;
  }

  [[nodiscard]] Piece piece_in(const SegmentScan& scan) const {
    const auto piece = std::ranges::find(stream_, &scan, &Piece::scan);
    return piece == stream_.end() ? Piece{} : *piece;
  }

  /// Something stands behind the last live chunk.
  [[nodiscard]] bool tail_is_torn() const {
    const SegmentScan* last = stream_.empty() ? nullptr : stream_.back().scan;
    return std::ranges::any_of(scans_, [&](const SegmentScan& scan) {
      if (last != nullptr && scan.epoch < last->epoch) return false;
      return scan.dirty_end || scan.chunks.size() > (&scan == last ? scan.run_count : 0);
    });
  }

  /// Other names are not ours to touch (S41).
  void sort_others(StreamEnd& end) const {
    for (const OtherFile& file : others_) {
      const bool reusable = file.size_bytes == options_.segment_bytes &&
                            end.spares.size() < options_.spare_segments_max;
      if (parse_spare_name(file.name)) {
        (reusable ? end.spares : end.rubbish).push_back(file.name);
      } else if (parse_unfinished_spare_name(file.name)) {
        end.rubbish.push_back(file.name);
      }
    }
  }

  const Options& options_;
  std::vector<SegmentScan> scans_;
  std::vector<OtherFile> others_;
  Stream stream_;
  ChunkSeq durable_;
  std::vector<Damage> damage_;
};

}  // namespace

std::expected<Verdict, std::vector<Damage>> judge(const Options& options,
                                                  std::vector<SegmentScan> scans,
                                                  std::vector<OtherFile> others) {
  return Judge(options, std::move(scans), std::move(others)).run();
}

}  // namespace sluice::segments
