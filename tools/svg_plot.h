// A chart as an SVG file: lines and marked points over two axes, linear or logarithmic. No library,
// no script, no font of its own: one file that every browser shows.
#pragma once

#include <string>
#include <vector>

namespace sluice::tools {

struct PlotPoint {
  double x = 0, y = 0;
};

struct PlotSeries {
  std::string name;  // in the legend
  std::vector<PlotPoint> points;
  bool line = true;     // join them, in their order
  bool markers = true;  // a dot at each
};

struct PlotTick {
  double at = 0;
  std::string label;
};

struct PlotAxis {
  std::string label;
  bool logarithmic = false;     // values <= 0 are left out
  std::vector<PlotTick> ticks;  // empty: chosen
};

struct Plot {
  std::string title;
  std::string subtitle;
  PlotAxis x, y;
  std::vector<PlotSeries> series;
  struct Mark {
    PlotPoint at;
    std::string text;
  };
  std::vector<Mark> marks;  // a ring around a point, with a word beside it
};

/// The chart as one SVG document. Points that are not finite, or have no logarithm where one is
/// needed, are left out.
[[nodiscard]] std::string svg_of(const Plot& plot);

/// Round values between `low` and `high` (inclusive) for an axis, 2 to 11 of them for low < high;
/// logarithmic: powers of ten and, where those are fewer than three, their 2- and 5-fold.
[[nodiscard]] std::vector<PlotTick> ticks_between(double low, double high, bool logarithmic);

/// Writes a text file. Throws Failure that names it.
void write_text_file(const std::string& path, const std::string& text);

}  // namespace sluice::tools
