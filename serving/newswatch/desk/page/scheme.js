// The tags of the bundle in service: titles, colours, thresholds and review bands.

import { get } from "/desk/api.js";

const GOLDEN_ANGLE = 137.508;

export class Scheme {
  static async load() {
    return new Scheme(await get("/v1/model"));
  }

  constructor(model) {
    this.model = model.model;
    this.tags = model.scheme.tags.map((tag, order) => ({
      name: tag.name,
      title: tag.title,
      definition: tag.definition,
      order,
      hue: ((25 + order * GOLDEN_ANGLE) % 360).toFixed(1),
      ...model.thresholds[tag.name],
    }));
    this.byName = new Map(this.tags.map((tag) => [tag.name, tag]));
  }

  /** The tag of this name; a tag that only an older bundle knew has no rule. */
  tag(name) {
    return this.byName.get(name) ?? { name, title: name.replaceAll("_", " "), definition: "", order: this.tags.length, hue: "0" };
  }
}

export const percent = (share) => `${(100 * share).toFixed(2)}%`;
export const twoPlaces = (score) => score.toFixed(2);
