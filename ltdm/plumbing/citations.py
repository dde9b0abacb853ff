"""BibTeX of references that several parts share; a part's own reference is in its module."""

HEUSEL2017 = """@inproceedings{heusel2017fid,
  title={GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium},
  author={Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and
    Hochreiter, Sepp}, booktitle={NeurIPS}, year={2017}}"""
HO2020 = """@inproceedings{ho2020ddpm,
  title={Denoising Diffusion Probabilistic Models},
  author={Ho, Jonathan and Jain, Ajay and Abbeel, Pieter},
  booktitle={NeurIPS}, year={2020}}"""
KARRAS2022 = """@inproceedings{karras2022edm,
  title={Elucidating the Design Space of Diffusion-Based Generative Models},
  author={Karras, Tero and Aittala, Miika and Aila, Timo and Laine, Samuli},
  booktitle={NeurIPS}, year={2022}}"""
KARRAS2024 = """@inproceedings{karras2024edm2,
  title={Analyzing and Improving the Training Dynamics of Diffusion Models},
  author={Karras, Tero and Aittala, Miika and Lehtinen, Jaakko and Hellsten, Janne and Aila, Timo
    and Laine, Samuli}, booktitle={CVPR}, year={2024}}"""
